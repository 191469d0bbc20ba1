;; world: gate
;; pages: 64
;; Answers with whatever it was given as its state, byte for byte: what is in memory at 1 MiB is
;; taken for the evaluation. Fuzzers say with it what no toolchain would let a guest say.
(func $evaluate (param $call i32) (result i32)
  (memory.copy (i32.const 1048576)
    (i32.load (i32.add (local.get $call) (i32.const 96)))
    (i32.load (i32.add (local.get $call) (i32.const 100))))
  (i32.const 1048576))

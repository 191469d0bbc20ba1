;; world: strategy
;; pages: 64
;; Answers with whatever it was given as its state, byte for byte: what is in memory at 1 MiB is
;; taken for the outcome. Fuzzers say with it what no toolchain would let a guest say.
  (func $decide (param $call i32) (result i32)
    (memory.copy (i32.const 1048576)
      (i32.load (i32.add (local.get $call) (i32.const 128)))
      (i32.load (i32.add (local.get $call) (i32.const 132))))
    (i32.const 1048576))

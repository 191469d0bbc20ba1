;; world: strategy
;; import: wasi:cli/stdout@0.2.3
;; import: wasi:cli/stderr@0.2.3
;; import: wasi:clocks/monotonic-clock@0.2.3
;; import: wasi:random/random@0.2.3
;; Uses what its toolchain dragged in: prints, sleeps for an hour, and goes where chance says.
;;@imports
(import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
(import "wasi:cli/stderr@0.2.3" "get-stderr" (func $stderr (result i32)))
(import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush" (func $print (param i32 i32 i32 i32)))
(import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
(import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
;;@functions
(data (i32.const 2048) "one line\nand half of another")
(data (i32.const 2100) "something is odd\n")
(func $decide (param $call i32) (result i32)
  (local $before i64)
  (local.set $before (call $now))
  (call $block (call $subscribe (i64.const 3600000000000)))
  (if (i64.lt_u (i64.sub (call $now) (local.get $before)) (i64.const 3600000000000)) (then unreachable))
  (call $print (call $stdout) (i32.const 2048) (i32.const 28) (i32.const 512))
  (call $print (call $stderr) (i32.const 2100) (i32.const 17) (i32.const 512))
  (call $go (local.get $call) (i32.wrap_i64 (i64.rem_u (call $random) (i64.const 1001)))))

;; world: strategy
;; import: wasi:random/random@0.2.3
;; Asks for four gigabytes of randomness.
;;@imports
(import "wasi:random/random@0.2.3" "get-random-bytes" (func $random (param i64 i32)))
;;@functions
(func $decide (param $call i32) (result i32)
  (call $random (i64.const 4294967296) (i32.const 512))
  (call $done (local.get $call)))

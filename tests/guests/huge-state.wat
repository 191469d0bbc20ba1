;; world: strategy
;; pages: 4
;; Wants to keep one byte more than it may.
(func $decide (param $call i32) (result i32)
  (drop (call $go (local.get $call) (i32.const 1000)))
  (i32.store (i32.const 288) (i32.const 65536)) (i32.store (i32.const 292) (i32.const 65537))
  (i32.const 256))

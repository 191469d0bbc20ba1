;; world: strategy
;; pages: 64
;; Gives a reason of 3 MiB.
(func $decide (param $call i32) (result i32)
  (drop (call $done (local.get $call)))
  (i32.store (i32.const 280) (i32.const 65536)) (i32.store (i32.const 284) (i32.const 3145728))
  (i32.const 256))

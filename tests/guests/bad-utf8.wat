;; world: strategy
;; Gives a reason that is not text.
(data (i32.const 2048) "\ff\fe\fd")
(func $decide (param $call i32) (result i32)
  (drop (call $done (local.get $call)))
  (i32.store (i32.const 280) (i32.const 2048)) (i32.store (i32.const 284) (i32.const 3))
  (i32.const 256))

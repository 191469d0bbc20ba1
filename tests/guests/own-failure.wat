;; world: strategy
;; Answers every question with a failure of its own: code 260, message 268, retryable 276, details 280.
(data (i32.const 2048) "bad-state")
(data (i32.const 2064) "the state is from another life")
(func $decide (param $call i32) (result i32)
  (i32.store (i32.const 256) (i32.const 1))
  (i32.store (i32.const 260) (i32.const 2048)) (i32.store (i32.const 264) (i32.const 9))
  (i32.store (i32.const 268) (i32.const 2064)) (i32.store (i32.const 272) (i32.const 30))
  (i32.store8 (i32.const 276) (i32.const 0))
  (i32.store (i32.const 280) (i32.const 8)) (i32.store (i32.const 284) (i32.const 0))
  (i32.const 256))

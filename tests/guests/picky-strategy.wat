;; world: strategy
;; Finds every configuration wrong: one problem at 320, pointer and message.
(data (i32.const 2048) "/stages/0")
(data (i32.const 2064) "there is no such stage")
(func $validate_config (param i32 i32) (result i32)
  (i32.store (i32.const 256) (i32.const 0))
  (i32.store (i32.const 260) (i32.const 320)) (i32.store (i32.const 264) (i32.const 1))
  (i32.store (i32.const 320) (i32.const 2048)) (i32.store (i32.const 324) (i32.const 9))
  (i32.store (i32.const 328) (i32.const 2064)) (i32.store (i32.const 332) (i32.const 22))
  (i32.const 256))

;; world: strategy
;; Never comes back.
(func $decide (param $call i32) (result i32)
  (loop $forever (br $forever))
  unreachable)

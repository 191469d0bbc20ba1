;; world: strategy
;; Says that the site is done before anything was done.
(func $decide (param $call i32) (result i32)
  (call $done (local.get $call)))

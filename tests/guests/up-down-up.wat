;; world: strategy
;; Goes half the way, all the way back, and then to the end: strange, but allowed.
(func $decide (param $call i32) (result i32)
  (local $step i32)
  (local.set $step (call $step (local.get $call)))
  (if (i32.eqz (local.get $step)) (then (return (call $go (local.get $call) (i32.const 500)))))
  (if (i32.eq (local.get $step) (i32.const 1)) (then (return (call $go (local.get $call) (i32.const 0)))))
  (if (i32.eq (local.get $step) (i32.const 2)) (then (return (call $go (local.get $call) (i32.const 1000)))))
  (if (i32.eq (local.get $step) (i32.const 3)) (then (return (call $wait_gates (local.get $call)))))
  (call $done (local.get $call)))

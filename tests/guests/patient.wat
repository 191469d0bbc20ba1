;; world: strategy
;; Asks for a hundred short waits before it goes, so that many decisions can be timed.
(func $decide (param $call i32) (result i32)
  (local $step i32)
  (local.set $step (call $step (local.get $call)))
  (if (i32.lt_u (local.get $step) (i32.const 100))
    (then (return (call $outcome (local.get $call) (i32.const 2) (i32.const 20) (i32.const 0)))))
  (if (i32.eq (local.get $step) (i32.const 100)) (then (return (call $go (local.get $call) (i32.const 1000)))))
  (if (i32.eq (local.get $step) (i32.const 101)) (then (return (call $wait_gates (local.get $call)))))
  (call $done (local.get $call)))

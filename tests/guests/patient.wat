;; world: strategy
;; Asks for twenty-four waits before it goes, so that many decisions can be timed. One in eight is
;; as long as a wait must be for the host not to count it as a decision about nothing.
(func $decide (param $call i32) (result i32)
  (local $step i32)
  (local.set $step (call $step (local.get $call)))
  (if (i32.lt_u (local.get $step) (i32.const 24))
    (then (return (call $outcome (local.get $call) (i32.const 2)
      (select (i32.const 20) (i32.const 1000) (i32.rem_u (local.get $step) (i32.const 8)))
      (i32.const 0)))))
  (if (i32.eq (local.get $step) (i32.const 24)) (then (return (call $go (local.get $call) (i32.const 1000)))))
  (if (i32.eq (local.get $step) (i32.const 25)) (then (return (call $wait_gates (local.get $call)))))
  (call $done (local.get $call)))

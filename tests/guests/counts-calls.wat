;; world: strategy
;; Keeps a count between calls, and says each time which call it is: in a rollout every call is
;; the first.
(global $calls (mut i32) (i32.const 0))
(func $decide (param $call i32) (result i32)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.gt_u (global.get $calls) (i32.const 1)) (then (return (call $done (local.get $call)))))
  (call $go (local.get $call) (i32.const 1000)))

;; world: strategy
;; Wants a thousand nodes more than the cluster has.
(func $decide (param $call i32) (result i32)
  (local $answer i32) (local $goal i32)
  (local.set $answer (call $go (local.get $call) (i32.const 1000)))
  (local.set $goal (i32.load (i32.add (local.get $answer) (i32.const 8))))
  (i32.store (i32.add (local.get $goal) (i32.const 8))
    (i32.add (i32.load (i32.add (local.get $goal) (i32.const 8))) (i32.const 1000)))
  (local.get $answer))

;; world: gate
;; Asks for evidence for ever.
(func $slots (result i32) (i32.const 1))
(func $evaluate (param $call i32) (result i32)
  (if (i32.eqz (i32.load (i32.add (local.get $call) (i32.const 68))))
    (then (return (call $evaluation (i32.const 1)))))
  (loop $more
    (call $ask (local.get $call))
    (br $more))
  unreachable)

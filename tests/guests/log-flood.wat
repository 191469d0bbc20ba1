;; world: strategy
;; Writes ten thousand lines of a thousand bytes each, and then works as usual.
(func $decide (param $call i32) (result i32)
  (local $i i32)
  (loop $more
    (call $log (i32.const 1) (i32.const 3072) (i32.const 1000))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 10000))))
  (call $go (local.get $call) (i32.const 1000)))

;; world: strategy
;; Grows its memory for ever, and writes to all of it.
(func $decide (param $call i32) (result i32)
  (local $pages i32)
  (loop $more
    (local.set $pages (memory.grow (i32.const 16)))
    (memory.fill (i32.mul (local.get $pages) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
    (br $more))
  unreachable)

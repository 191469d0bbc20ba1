;; world: strategy
;; import: wasi:clocks/monotonic-clock@0.2.3
;; Looks at the clock until a second has passed, a nanosecond at a time.
;;@imports
(import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
;;@functions
(func $decide (param $call i32) (result i32)
  (local $until i64)
  (local.set $until (i64.add (call $now) (i64.const 1000000000)))
  (loop $more
    (br_if $more (i64.lt_u (call $now) (local.get $until))))
  (call $done (local.get $call)))

;; world: gate
;; contract: 0.2.0
;; Asks 1,025 questions at once, one more than an evaluation may.
;;@imports
(import "wavegate:plugin/evidence@0.1.0" "ask" (func $ask_all (param i32 i32 i32)))
;;@functions
(data (i32.const 2048) "up")
(func $slots (result i32) (i32.const 1))
(func $evaluate (param $call i32) (result i32)
  (local $list i32) (local $at i32) (local $i i32)
  (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 32800)))
  (loop $more
    (local.set $at (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 32))))
    (i32.store8 (local.get $at) (i32.const 0))
    (i32.store offset=4 (local.get $at) (i32.const 1232)) (i32.store offset=8 (local.get $at) (i32.const 6))
    (i32.store offset=12 (local.get $at) (i32.const 2048)) (i32.store offset=16 (local.get $at) (i32.const 2))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 1025))))
  (call $ask_all (local.get $list) (i32.const 1025) (i32.const 512))
  (call $evaluation (i32.const 0)))

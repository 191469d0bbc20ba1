;; world: gate
;; contract: 0.2.0
;; Hides a slot that it did not declare among its questions.
;;@imports
(import "wavegate:plugin/evidence@0.1.0" "ask" (func $ask_all (param i32 i32 i32)))
;;@functions
(data (i32.const 2048) "up")
(func $slots (result i32) (i32.const 1))
(func $question (param $at i32) (param $slot i32) (param $length i32)
  (i32.store8 (local.get $at) (i32.const 0))
  (i32.store offset=4 (local.get $at) (local.get $slot)) (i32.store offset=8 (local.get $at) (local.get $length))
  (i32.store offset=12 (local.get $at) (i32.const 2048)) (i32.store offset=16 (local.get $at) (i32.const 2)))
(func $evaluate (param $call i32) (result i32)
  (call $question (i32.const 1300) (i32.const 1232) (i32.const 6))
  (call $question (i32.const 1332) (i32.const 1270) (i32.const 7))
  (call $ask_all (i32.const 1300) (i32.const 2) (i32.const 512))
  (call $evaluation (i32.const 0)))

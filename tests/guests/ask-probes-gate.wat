;; world: gate
;; contract: 0.2.0
;; Asks for new nodes and for those on the baseline at once, and passes if no check failed.
;;@imports
(import "wavegate:plugin/evidence@0.1.0" "ask" (func $ask_all (param i32 i32 i32)))
;;@functions
(data (i32.const 2048) "baseline")
(func $slots (result i32) (i32.const 1))
(func $question (param $at i32) (param $cluster i32) (param $cohort i32) (param $length i32)
  (i32.store8 (local.get $at) (i32.const 3))
  (i32.store offset=4 (local.get $at) (i32.const 1232)) (i32.store offset=8 (local.get $at) (i32.const 6))
  (i32.store offset=12 (local.get $at) (i32.load (local.get $cluster)))
  (i32.store offset=16 (local.get $at) (i32.load offset=4 (local.get $cluster)))
  (i32.store offset=20 (local.get $at) (local.get $cohort)) (i32.store offset=24 (local.get $at) (local.get $length))
  (i32.store offset=28 (local.get $at) (i32.const 5000)))
;; Answers of 120 bytes each: discriminant, and at 8 the checks with the failed ones at 12.
(func $evaluate (param $call i32) (result i32)
  (local $cluster i32) (local $answers i32)
  (if (i32.eqz (i32.load offset=68 (local.get $call)))
    (then (return (call $evaluation (i32.const 1)))))
  (local.set $cluster (i32.load offset=64 (local.get $call)))
  (call $question (i32.const 1300) (local.get $cluster) (i32.const 1250) (i32.const 3))
  (call $question (i32.const 1332) (local.get $cluster) (i32.const 2048) (i32.const 8))
  (call $ask_all (i32.const 1300) (i32.const 2) (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then (return (call $evaluation (i32.const 1)))))
  (local.set $answers (i32.load (i32.const 516)))
  (drop (call $evaluation (select (i32.const 2) (i32.const 0)
    (i32.or (i32.load offset=12 (local.get $answers)) (i32.load offset=132 (local.get $answers))))))
  (i32.const 256))

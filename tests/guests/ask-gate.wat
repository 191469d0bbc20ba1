;; world: gate
;; contract: 0.2.0
;; Asks the driver's probes and a metric at once: fails if any check failed, passes if not and the
;; metric has a series, and else holds.
;;@imports
(import "wavegate:plugin/evidence@0.1.0" "ask" (func $ask_all (param i32 i32 i32)))
;;@functions
(data (i32.const 2048) "up")
(func $slots (result i32) (i32.const 1))
;; Two questions of 32 bytes each at 1300: discriminant, and the fields at 4. Answers of 120 bytes
;; each: discriminant, and the content at 8.
(func $evaluate (param $call i32) (result i32)
  (local $cluster i32) (local $answers i32)
  (if (i32.eqz (i32.load (i32.add (local.get $call) (i32.const 68))))
    (then (return (call $evaluation (i32.const 1)))))
  (local.set $cluster (i32.load (i32.add (local.get $call) (i32.const 64))))
  (i32.store8 (i32.const 1300) (i32.const 3))
  (i32.store (i32.const 1304) (i32.const 1232)) (i32.store (i32.const 1308) (i32.const 6))
  (i32.store (i32.const 1312) (i32.load (local.get $cluster)))
  (i32.store (i32.const 1316) (i32.load (i32.add (local.get $cluster) (i32.const 4))))
  (i32.store (i32.const 1320) (i32.const 1250)) (i32.store (i32.const 1324) (i32.const 3))
  (i32.store (i32.const 1328) (i32.const 1000))
  (i32.store8 (i32.const 1332) (i32.const 0))
  (i32.store (i32.const 1336) (i32.const 1232)) (i32.store (i32.const 1340) (i32.const 6))
  (i32.store (i32.const 1344) (i32.const 2048)) (i32.store (i32.const 1348) (i32.const 2))
  (call $ask_all (i32.const 1300) (i32.const 2) (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then (return (call $evaluation (i32.const 1)))))
  (local.set $answers (i32.load (i32.const 516)))
  (if (i32.load (i32.add (local.get $answers) (i32.const 12)))
    (then (return (call $evaluation (i32.const 2)))))
  (call $evaluation (i32.eqz (i32.load (i32.add (local.get $answers) (i32.const 132))))))

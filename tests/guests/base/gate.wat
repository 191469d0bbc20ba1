;; A gate by hand: always passes, from no evidence. Each part between two marks can be replaced by
;; a guest that defines a function of the same name.
(module
  (import "wavegate:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "wavegate:plugin/probes@0.1.0" "summary" (func $summary (param i32 i32 i32 i32 i32 i32 i32 i32)))
  ;;@imports
  (memory (export "memory") @PAGES@)
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 1024) "@NAME@")
  (data (i32.const 1152) "1.0.0")
  (data (i32.const 1168) "{\"type\":\"object\"}")
  (data (i32.const 1200) "a guest for tests")
  (data (i32.const 1232) "probes")
  (data (i32.const 1240) "because")
  (data (i32.const 1250) "new")
  (data (i32.const 1260) "failed")
  (data (i32.const 1270) "secrets")

  ;;@part realloc
  (func $realloc (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (block $enough
      (loop $more
        (br_if $enough (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (br $more)))
    (local.get $at))

  ;;@part slots
  ;; How many slots it describes: none, or the one at 400.
  (func $slots (result i32) (i32.const 0))

  ;;@part describe
  ;; result<gate-about, failure> at 256: name 260, version 268, state-version 276, schema 280,
  ;; text 288, slots 296. A slot has name, kind and text.
  (func $describe (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 1024)) (i32.store (i32.const 264) (i32.const @NAME_LEN@))
    (i32.store (i32.const 268) (i32.const 1152)) (i32.store (i32.const 272) (i32.const 5))
    (i32.store (i32.const 276) (i32.const 1))
    (i32.store (i32.const 280) (i32.const 1168)) (i32.store (i32.const 284) (i32.const 17))
    (i32.store (i32.const 288) (i32.const 1200)) (i32.store (i32.const 292) (i32.const 17))
    (i32.store (i32.const 296) (i32.const 400)) (i32.store (i32.const 300) (call $slots))
    (i32.store (i32.const 400) (i32.const 1232)) (i32.store (i32.const 404) (i32.const 6))
    (i32.store (i32.const 408) (i32.const 1232)) (i32.store (i32.const 412) (i32.const 6))
    (i32.store (i32.const 416) (i32.const 1200)) (i32.store (i32.const 420) (i32.const 17))
    (i32.const 256))

  ;;@part validate_config
  (func $validate_config (param i32 i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 8)) (i32.store (i32.const 264) (i32.const 0))
    (i32.const 256))

  ;;@part ask
  ;; Asks for the new nodes of the first updated cluster over the last second; the answer is
  ;; result<probe-summary, failure> at 512: checks 520 with total 520 and failed 524.
  (func $ask (param $call i32)
    (local $cluster i32)
    (local.set $cluster (i32.load (i32.add (local.get $call) (i32.const 64))))
    (call $summary (i32.const 1232) (i32.const 6)
      (i32.load (local.get $cluster)) (i32.load (i32.add (local.get $cluster) (i32.const 4)))
      (i32.const 1250) (i32.const 3) (i32.const 1000) (i32.const 512)))

  ;;@part evaluation
  ;; result<evaluation, failure> at 256: verdict 260, reason 264, clusters 272, measurements 280,
  ;; state 288, extensions 296
  (func $evaluation (param $verdict i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store8 (i32.const 260) (local.get $verdict))
    (i32.store (i32.const 264) (i32.const 1240)) (i32.store (i32.const 268) (i32.const 7))
    (i32.store (i32.const 272) (i32.const 8)) (i32.store (i32.const 276) (i32.const 0))
    (i32.store (i32.const 280) (i32.const 8)) (i32.store (i32.const 284) (i32.const 0))
    (i32.store (i32.const 288) (i32.const 8)) (i32.store (i32.const 292) (i32.const 0))
    (i32.store (i32.const 296) (i32.const 8)) (i32.store (i32.const 300) (i32.const 0))
    (i32.const 256))

  ;;@part measured
  ;; Adds a measurement to the evaluation: name 600, cluster 608, value 616, unit 632, limit 640,
  ;; verdict 648, samples 652
  (func $measured (param $value f64)
    (i32.store (i32.const 280) (i32.const 600)) (i32.store (i32.const 284) (i32.const 1))
    (i32.store (i32.const 600) (i32.const 1260)) (i32.store (i32.const 604) (i32.const 6))
    (i32.store (i32.const 608) (i32.const 8)) (i32.store (i32.const 612) (i32.const 0))
    (i32.store8 (i32.const 616) (i32.const 1)) (f64.store (i32.const 624) (local.get $value))
    (i32.store (i32.const 632) (i32.const 8)) (i32.store (i32.const 636) (i32.const 0))
    (i32.store (i32.const 640) (i32.const 8)) (i32.store (i32.const 644) (i32.const 0))
    (i32.store8 (i32.const 648) (i32.const 0)) (i32.store (i32.const 652) (i32.const 1)))

  ;;@part evaluate
  ;; The call in memory: phase 24, attempt 32, updated 64, config 88, state 96.
  (func $evaluate (param $call i32) (result i32)
    (call $evaluation (i32.const 0)))

  ;;@end
  (export "cabi_realloc" (func $realloc))
  (export "wavegate:plugin/gate@0.1.0#describe" (func $describe))
  (export "wavegate:plugin/gate@0.1.0#validate-config" (func $validate_config))
  (export "wavegate:plugin/gate@0.1.0#evaluate" (func $evaluate))
  ;;@guest
)

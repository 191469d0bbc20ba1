;; A strategy by hand: everything at once, then the gates, then done. Each part between two marks
;; can be replaced by a guest that defines a function of the same name.
(module
  (import "wavegate:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  ;;@imports
  (memory (export "memory") @PAGES@)
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 1024) "@NAME@")
  (data (i32.const 1152) "1.0.0")
  (data (i32.const 1168) "{\"type\":\"object\"}")
  (data (i32.const 1200) "a guest for tests")
  (data (i32.const 1232) "step")
  (data (i32.const 1240) "because")
  (data (i32.const 1250) "nowhere")

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

  ;;@part describe
  ;; result<about, failure> at 256: name 260, version 268, state-version 276, schema 280, text 288
  (func $describe (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 1024)) (i32.store (i32.const 264) (i32.const @NAME_LEN@))
    (i32.store (i32.const 268) (i32.const 1152)) (i32.store (i32.const 272) (i32.const 5))
    (i32.store (i32.const 276) (i32.const 1))
    (i32.store (i32.const 280) (i32.const 1168)) (i32.store (i32.const 284) (i32.const 17))
    (i32.store (i32.const 288) (i32.const 1200)) (i32.store (i32.const 292) (i32.const 17))
    (i32.const 256))

  ;;@part validate_config
  (func $validate_config (param i32 i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 8)) (i32.store (i32.const 264) (i32.const 0))
    (i32.const 256))

  ;;@part outline
  ;; one stage at 320: name and text
  (func $outline (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 320)) (i32.store (i32.const 264) (i32.const 1))
    (i32.store (i32.const 320) (i32.const 1232)) (i32.store (i32.const 324) (i32.const 4))
    (i32.store (i32.const 328) (i32.const 1200)) (i32.store (i32.const 332) (i32.const 17))
    (i32.const 256))

  ;;@part step
  ;; The number of the call, from the state.
  (func $step (param $call i32) (result i32)
    (if (result i32) (i32.load (i32.add (local.get $call) (i32.const 132)))
      (then (i32.load8_u (i32.load (i32.add (local.get $call) (i32.const 128)))))
      (else (i32.const 0))))

  ;;@part outcome
  ;; result<outcome, failure> at 256: decision 260, stage 272, reason 280, state 288, extensions 296.
  ;; The state is the number of the next call.
  (func $outcome (param $call i32) (param $case i32) (param $a i32) (param $b i32) (result i32)
    (i32.store8 (i32.const 316) (i32.add (call $step (local.get $call)) (i32.const 1)))
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store8 (i32.const 260) (local.get $case))
    (i32.store (i32.const 264) (local.get $a)) (i32.store (i32.const 268) (local.get $b))
    (i32.store (i32.const 272) (i32.const 1232)) (i32.store (i32.const 276) (i32.const 4))
    (i32.store (i32.const 280) (i32.const 1240)) (i32.store (i32.const 284) (i32.const 7))
    (i32.store (i32.const 288) (i32.const 316)) (i32.store (i32.const 292) (i32.const 1))
    (i32.store (i32.const 296) (i32.const 8)) (i32.store (i32.const 300) (i32.const 0))
    (i32.const 256))

  ;;@part goal
  ;; A goal with so many permille of the nodes of each cluster on the new release, and traffic in
  ;; proportion to nodes. View: clusters at 16, 72 bytes each, desired at 24 in it.
  ;; Goal: 24 bytes for each cluster: name, new, baseline, new-permille, baseline-permille.
  (func $goal (param $call i32) (param $permille i32) (result i32)
    (local $n i32) (local $i i32) (local $c i32) (local $g i32) (local $list i32)
    (local $desired i32) (local $new i32) (local $share i32)
    (local.set $n (i32.load (i32.add (local.get $call) (i32.const 20))))
    (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $n) (i32.const 24))))
    (block $end
      (loop $next
        (br_if $end (i32.eq (local.get $i) (local.get $n)))
        (local.set $c (i32.add (i32.load (i32.add (local.get $call) (i32.const 16))) (i32.mul (local.get $i) (i32.const 72))))
        (local.set $g (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 24))))
        (local.set $desired (i32.load (i32.add (local.get $c) (i32.const 24))))
        (local.set $new (i32.div_u (i32.mul (local.get $desired) (local.get $permille)) (i32.const 1000)))
        (local.set $share (i32.div_u (i32.const 1000) (local.get $n)))
        (if (i32.eqz (local.get $i))
          (then (local.set $share (i32.add (local.get $share) (i32.rem_u (i32.const 1000) (local.get $n))))))
        (i64.store align=4 (local.get $g) (i64.load align=4 (local.get $c)))
        (i32.store (i32.add (local.get $g) (i32.const 8)) (local.get $new))
        (i32.store (i32.add (local.get $g) (i32.const 12)) (i32.sub (local.get $desired) (local.get $new)))
        (i32.store (i32.add (local.get $g) (i32.const 16)) (i32.const 0))
        (if (local.get $desired)
          (then (i32.store (i32.add (local.get $g) (i32.const 16))
            (i32.div_u (i32.mul (local.get $share) (local.get $new)) (local.get $desired)))))
        (i32.store (i32.add (local.get $g) (i32.const 20))
          (i32.sub (local.get $share) (i32.load (i32.add (local.get $g) (i32.const 16)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $list))

  ;;@part go
  (func $go (param $call i32) (param $permille i32) (result i32)
    (call $outcome (local.get $call) (i32.const 0)
      (call $goal (local.get $call) (local.get $permille))
      (i32.load (i32.add (local.get $call) (i32.const 20)))))

  ;;@part wait_gates
  ;; Waits for all gates of the view (at 76, 16 bytes each, name first), or is done if there are none.
  (func $wait_gates (param $call i32) (result i32)
    (local $n i32) (local $i i32) (local $list i32)
    (local.set $n (i32.load (i32.add (local.get $call) (i32.const 80))))
    (if (i32.eqz (local.get $n)) (then (return (call $done (local.get $call)))))
    (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $n) (i32.const 8))))
    (loop $next
      (i64.store align=4 (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 8)))
        (i64.load align=4 (i32.add (i32.load (i32.add (local.get $call) (i32.const 76))) (i32.mul (local.get $i) (i32.const 16)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (call $outcome (local.get $call) (i32.const 1) (local.get $list) (local.get $n)))

  ;;@part done
  (func $done (param $call i32) (result i32)
    (call $outcome (local.get $call) (i32.const 4) (i32.const 0) (i32.const 0)))

  ;;@part decide
  ;; The call in memory: view 0, config 120, state 128.
  (func $decide (param $call i32) (result i32)
    (if (i32.eqz (call $step (local.get $call))) (then (return (call $go (local.get $call) (i32.const 1000)))))
    (if (i32.eq (call $step (local.get $call)) (i32.const 1)) (then (return (call $wait_gates (local.get $call)))))
    (call $done (local.get $call)))

  ;;@end
  (export "cabi_realloc" (func $realloc))
  (export "wavegate:plugin/strategy@0.1.0#describe" (func $describe))
  (export "wavegate:plugin/strategy@0.1.0#validate-config" (func $validate_config))
  (export "wavegate:plugin/strategy@0.1.0#outline" (func $outline))
  (export "wavegate:plugin/strategy@0.1.0#decide" (func $decide))
  ;;@guest
)

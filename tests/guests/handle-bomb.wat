;; world: strategy
;; export: tests:handles/things@1.0.0
;; Makes handles of a resource of its own for ever; the contract has none.
;;@imports
(import "[export]tests:handles/things@1.0.0" "[resource-new]thing" (func $new (param i32) (result i32)))
;;@functions
(func (export "tests:handles/things@1.0.0#[constructor]thing") (result i32) (call $new (i32.const 0)))
(func $decide (param $call i32) (result i32)
  (loop $more
    (drop (call $new (i32.const 0)))
    (br $more))
  unreachable)

;; world: strategy
;; import: wasi:http/outgoing-handler@0.2.0
;; Wants to reach the network by itself.
;;@imports
(import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32)))
;;@functions
(func $decide (param $call i32) (result i32)
  (call $handle (i32.const 1024) (i32.const 4))
  (call $done (local.get $call)))

;; world: strategy
;; import: wasi:sockets/instance-network@0.2.3
;; Wants a network.
;;@imports
(import "wasi:sockets/instance-network@0.2.3" "instance-network" (func $network (result i32)))
;;@functions
(func $decide (param $call i32) (result i32)
  (drop (call $network))
  (call $done (local.get $call)))

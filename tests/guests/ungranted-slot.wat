;; world: gate
;; Asks a source that it did not declare.
(func $evaluate (param $call i32) (result i32)
  (call $summary (i32.const 1270) (i32.const 7) (i32.const 1024) (i32.const 4)
    (i32.const 1250) (i32.const 3) (i32.const 1000) (i32.const 512))
  (call $evaluation (i32.const 0)))

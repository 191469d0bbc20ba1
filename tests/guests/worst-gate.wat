;; world: gate
;; Passes as a whole, and fails the first updated cluster: name 704, verdict 712.
(func $evaluate (param $call i32) (result i32)
  (drop (call $evaluation (i32.const 0)))
  (if (i32.load (i32.add (local.get $call) (i32.const 68))) (then
    (i64.store (i32.const 704) (i64.load align=4 (i32.load (i32.add (local.get $call) (i32.const 64)))))
    (i32.store8 (i32.const 712) (i32.const 2))
    (i32.store (i32.const 272) (i32.const 704)) (i32.store (i32.const 276) (i32.const 1))))
  (i32.const 256))

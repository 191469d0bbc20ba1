;; world: strategy
;; Grows a table for ever.
(table $table 1 funcref)
(func $decide (param $call i32) (result i32)
  (loop $more
    (drop (table.grow $table (ref.null func) (i32.const 100)))
    (br $more))
  unreachable)

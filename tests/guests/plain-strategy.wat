;; world: strategy
;; Moves everything at once, waits for all gates, and is done.

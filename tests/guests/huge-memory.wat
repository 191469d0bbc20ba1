;; world: strategy
;; pages: 4800
;; Wants 300 MiB before it does anything.

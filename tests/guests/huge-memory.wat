;; world: strategy
;; pages: 1700
;; Wants 106 MiB before it does anything.

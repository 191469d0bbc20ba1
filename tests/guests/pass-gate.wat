;; world: gate
;; Always passes.

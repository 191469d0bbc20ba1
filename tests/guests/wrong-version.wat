;; world: strategy
;; contract: 0.9.0
;; Was built for a contract that this host does not have.

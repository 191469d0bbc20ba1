;; world: strategy
;; contract: 0.2.0
;; As `plain-strategy`, for the newer contract.

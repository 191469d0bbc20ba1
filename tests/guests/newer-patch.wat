;; world: strategy
;; contract: 0.1.7
;; Was built for a later version of the same contract, of which it needs nothing new.

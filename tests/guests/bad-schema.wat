;; world: strategy
;; Describes its configuration by a schema that comes back to itself.
(data (i32.const 1168) "{\"$ref\":\"#\"     }")

# Completion of nomos for fish; installed as fish/vendor_completions.d/nomos.fish.
set -l commands init serve send sign doctor config policy audit version help
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -f
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a init -d "Make a folder with a configuration, a policy and keys"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a serve -d "Run the gateway in the foreground"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a send -d "Sign an action, send it, say what the answer means"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a sign -d "Print the headers that sign a request body"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a doctor -d "Check host and configuration before a start"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a config -d "Check, print and document the configuration"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a policy -d "Try policy bundles without a gateway"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a audit -d "Verify and read the ledger"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a version -d "Print what this build is"
complete -c nomos -n "not __fish_seen_subcommand_from $commands" -a help -d "List the commands"

complete -c nomos -n "__fish_seen_subcommand_from init" -l if-missing -d "Do nothing when it is there"
complete -c nomos -n "__fish_seen_subcommand_from serve send sign doctor config" -s c -l config -r -d "Configuration"
complete -c nomos -n "__fish_seen_subcommand_from serve doctor config" -s p -l policy-bundle -r -d "Policy bundle"
complete -c nomos -n "__fish_seen_subcommand_from serve" -s l -l log-level -x -a "error warn info debug" -d "Level"
complete -c nomos -n "__fish_seen_subcommand_from serve" -l log-format -x -a "text json" -d "Format"
complete -c nomos -n "__fish_seen_subcommand_from send sign" -s k -l key-file -r -d "File with the API key"
complete -c nomos -n "__fish_seen_subcommand_from send sign" -s a -l agent -x -d "Agent that signs"
complete -c nomos -n "__fish_seen_subcommand_from send sign" -l agent-secret-file -r -d "File with its secret"
complete -c nomos -n "__fish_seen_subcommand_from send" -s u -l url -x -d "Gateway"
complete -c nomos -n "__fish_seen_subcommand_from send" -s e -l explain -d "Ask why"
complete -c nomos -n "__fish_seen_subcommand_from send" -l exit-code -d "Exit 1 for any decision but ALLOW"
complete -c nomos -n "__fish_seen_subcommand_from doctor" -l format -x -a "text json" -d "Format"
complete -c nomos -n "__fish_seen_subcommand_from doctor" -l deep -d "Verify the whole ledger"

set -l config_commands check dump doc example schema
complete -c nomos -n "__fish_seen_subcommand_from config; and not __fish_seen_subcommand_from $config_commands" -f -a "$config_commands"
complete -c nomos -n "__fish_seen_subcommand_from dump" -l format -x -a "yaml json" -d "Format"
set -l policy_commands test explain hash
complete -c nomos -n "__fish_seen_subcommand_from policy; and not __fish_seen_subcommand_from $policy_commands" -f -a "$policy_commands"
complete -c nomos -n "__fish_seen_subcommand_from test explain" -l action -r -d "Action file"
complete -c nomos -n "__fish_seen_subcommand_from test explain" -l bundle -r -d "Bundles, comma separated"
set -l audit_commands verify export query tail backup seal
complete -c nomos -n "__fish_seen_subcommand_from audit; and not __fish_seen_subcommand_from $audit_commands" -f -a "$audit_commands"

# Completion of nomos for bash; installed as bash-completion/completions/nomos.
_nomos()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="init serve send sign keys doctor config policy test approvals actions audit version help"
	local credentials="--config --key-file --agent --agent-secret-file --agent-key-file --signature --help"
	local words=""
	COMPREPLY=()

	case $prev in
	-c | --config | -p | --policy-bundle | -k | --key-file | --agent-secret-file | --agent-key-file | -b | --bundle | --action | -s | --suite | --checkpoint-key | --witness | --received | --archive | --key | --ca-file | --cert | --cert-key)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-l | --log-level) words="error warn info debug" ;;
	--log-format) words="text json" ;;
	--signature) words="v1 v2" ;;
	--decision) words="allow deny require_approval" ;;
	--format)
		[ "${COMP_WORDS[1]}" = config ] && words="yaml json" || words="text json"
		;;
	esac
	if [ -z "$words" ]; then
		case $COMP_CWORD:${COMP_WORDS[1]}:${COMP_WORDS[2]} in
		1:*) words=$commands ;;
		2:config:*) words="check dump diff doc example schema" ;;
		2:policy:*) words="test explain hash" ;;
		2:keys:*) words="new list" ;;
		2:approvals:*) words="list show approve deny" ;;
		2:actions:*) words="unknown settle" ;;
		2:audit:*) words="verify export query tail sinks backup seal" ;;
		*:init:*) words="--if-missing --help" ;;
		*:serve:*) words="--config --policy-bundle --log-level --log-format --help" ;;
		*:send:*) words="$credentials --url --ca-file --cert --cert-key --explain --approval --wait --exit-code" ;;
		*:sign:*) words="$credentials --method --path --idempotency-key" ;;
		*:keys:new) words="--principal --owner --name --roles --agents --networks --expires --key-file --help" ;;
		*:keys:list) words="--config --help" ;;
		*:doctor:*) words="--config --policy-bundle --format --deep --strict --only --skip --watch --interval --list --help" ;;
		*:config:check) words="--config --policy-bundle --help" ;;
		*:config:diff) words="--config --key-file --url --ca-file --cert --cert-key --format --help" ;;
		*:config:dump) words="--config --policy-bundle --format --help" ;;
		*:test:*) words="--suite --bundle --format --help" ;;
		*:approvals:list) words="--config --key-file --url --ca-file --cert --cert-key --limit --all --format --help" ;;
		*:approvals:show) words="--config --key-file --url --ca-file --cert --cert-key --format --help" ;;
		*:approvals:approve) words="--config --key-file --url --ca-file --cert --cert-key --reason --ack-redacted --format --help" ;;
		*:approvals:deny) words="--config --key-file --url --ca-file --cert --cert-key --reason --format --help" ;;
		*:actions:unknown) words="--config --key-file --url --ca-file --cert --cert-key --format --help" ;;
		*:actions:settle) words="--config --key-file --url --ca-file --cert --cert-key --outcome --reason --format --help" ;;
		*:audit:verify) words="--checkpoint-key --expect --witness --accept-chain --received --archive --format --help" ;;
		*:audit:export) words="--key --help" ;;
		*:audit:query)
			words="--trace --action --principal --agent --action-type --decision --class --type --since --until"
			words+=" --contains --newest --from --limit --scan --format --help"
			;;
		*:audit:tail) words="--follow --lines --format --help" ;;
		*:audit:seal) words="--reason --help" ;;
		*:policy:test | *:policy:explain) words="--action --bundle --config --help" ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if [ ${#COMPREPLY[@]} -eq 0 ] && [ "$COMP_CWORD" -gt 1 ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -o filenames -F _nomos nomos

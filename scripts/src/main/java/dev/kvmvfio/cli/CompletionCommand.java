package dev.kvmvfio.cli;

import java.util.List;
import java.util.stream.Collectors;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio completion}: the script that lets a shell complete this program's words. */
final class CompletionCommand extends Command {
    private static final String SCRIPT = """
            [[ -z ${ZSH_VERSION-} ]] || { autoload -U +X compinit && compinit; autoload -U +X bashcompinit && bashcompinit; }
            _kvm_vfio() {
                local words current=${COMP_LINE:0:COMP_POINT}
                current=${current##* }
                case ${COMP_WORDS[1]} in
            %s    esac
                ((COMP_CWORD > 1)) || words='%s --help --version'
                [[ ${COMP_WORDS[COMP_CWORD - 1]} != --interface ]] || words='auto cdev group'
                COMPREPLY=($(compgen -W "$words" -- "$current"))
                # A colon divides words in bash, and what is before the last one stays.
                [[ -n ${ZSH_VERSION-} ]] || COMPREPLY=("${COMPREPLY[@]#"${current%%"${current##*:}"}"}")
            }
            complete -F _kvm_vfio kvm-vfio
            """;

    CompletionCommand() {
        super("completion", "bash|zsh",
                "Prints a script for the completion of commands, options and addresses: source <(kvm-vfio completion bash).",
                "");
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        String shell = invocation.parameters().getFirst();
        if (!List.of("bash", "zsh").contains(shell)) {
            throw new ParseException("there is a script for bash and zsh, none for " + shell);
        }
        List<Command> commands = KvmVfioCommand.commands();
        invocation.out().printf(SCRIPT,
                commands.stream().map(CompletionCommand::branch).collect(Collectors.joining()),
                commands.stream().map(Command::name).collect(Collectors.joining(" ")));
        invocation.out().flush();
        return 0;
    }

    private static String branch(Command command) {
        String options = command.options().getOptions().stream().map(Option::getLongOpt).map("--"::concat)
                .collect(Collectors.joining(" "));
        String parameters = switch (command.parameter()) {
            case "ADDRESS" -> " $(ls /sys/bus/pci/devices 2>/dev/null)";
            case "bash|zsh" -> " bash zsh";
            default -> "";
        };
        return String.format("        %s) words=\"%s%s\" ;;%n", command.name(), options, parameters);
    }
}

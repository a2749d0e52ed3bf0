package dev.kvmvfio.cli;

import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.pci.PciDevice;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio completion}: the script that lets a shell complete this program's words. */
final class CompletionCommand extends Command {
    private static final List<String> GENERAL = List.of("help", "--help", "--version");
    /** The words of an option's value, as a shell's command that prints them. */
    private static final Map<String, String> VALUES = Map.of("interface", "printf '%s\\n' auto cdev group", "class",
            "printf '%s\\n' " + String.join(" ", ListCommand.classes()), "driver",
            "ls /sys/bus/pci/drivers 2>/dev/null",
            "vendor", ":", "memory", "printf '%s\\n' 64M 1G");
    /** For bash and zsh: what can follow, a line for each. */
    private static final String WORDS = """
            _kvm_vfio_devices() {
                case " $1 " in
                    *" --mock "*) printf '%%s\\n' %s ;;
                    *) ls /sys/bus/pci/devices /sys/class/net 2>/dev/null | grep -v '^$\\|/\\|^lo$' ;;
                esac
            }
            # COMMAND, the word before, the line.
            _kvm_vfio_words() {
                case $2 in
            %s    esac
                case $1 in
                    '') printf '%%s\\n' %s ;;
                    help) printf '%%s\\n' %s ;;
            %s    esac
            }
            """;
    private static final String BASH = """
            _kvm_vfio() {
                local command='' current=${COMP_LINE:0:COMP_POINT}
                current=${current##* }
                ((COMP_CWORD < 2)) || command=${COMP_WORDS[1]}
                COMPREPLY=($(compgen -W "$(_kvm_vfio_words "$command" "${COMP_WORDS[COMP_CWORD - 1]}" "$COMP_LINE")" -- "$current"))
                # A colon divides words in bash, and what is before the last one stays.
                COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
            }
            complete -F _kvm_vfio kvm-vfio
            """;
    private static final String ZSH = """
            (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
            _kvm_vfio() {
                local command=''
                (( CURRENT < 3 )) || command=$words[2]
                compadd -- ${(f)"$(_kvm_vfio_words "$command" "$words[CURRENT-1]" "$words")"}
            }
            compdef _kvm_vfio kvm-vfio
            """;
    private static final String FISH = """
            complete -c kvm-vfio -f
            function __kvm_vfio_devices
                if contains -- --mock (commandline -opc)
                    printf '%%s\\n' %s
                else
                    ls /sys/bus/pci/devices /sys/class/net 2>/dev/null | string match -rv '^$|/|^lo$'
                end
            end
            complete -c kvm-vfio -n __fish_use_subcommand -a 'help' -d 'Print the help of a command'
            complete -c kvm-vfio -n '__fish_seen_subcommand_from help' -a '%s'
            """;

    CompletionCommand() {
        super("completion", "bash|zsh|fish",
                "Prints a script that completes commands, options and devices: source <(kvm-vfio completion bash), the same "
                        + "for zsh, and kvm-vfio completion fish | source.",
                "");
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        String shell = invocation.parameters().getFirst();
        Output out = invocation.out();
        switch (shell) {
            case "bash" -> out.lines(words() + BASH);
            case "zsh" -> out.lines(words() + ZSH);
            case "fish" -> out.lines(fish());
            default -> throw new ParseException("there is a script for bash, zsh and fish, none for " + shell);
        }
        return 0;
    }

    /** After --mock the model's devices are meant. */
    private static String mockDevices() {
        try (MockKernel mock = MockKernel.example()) {
            return PciDevice.list(mock).stream().map(PciDevice::toString).collect(Collectors.joining(" "));
        }
    }

    private static String names() {
        return KvmVfioCommand.commands().stream().map(Command::name).collect(Collectors.joining(" "));
    }

    private static Stream<Option> options(Command command) {
        return command.options().getOptions().stream();
    }

    private static String words() {
        String values = VALUES.entrySet().stream().sorted(Map.Entry.comparingByKey())
                .map(value -> String.format(Locale.ROOT, "        --%s) %s; return ;;%n", value.getKey(),
                        value.getValue()))
                .collect(Collectors.joining());
        String branches = KvmVfioCommand.commands().stream().map(CompletionCommand::branch)
                .collect(Collectors.joining());
        return String.format(Locale.ROOT, WORDS, mockDevices(), values, names() + " " + String.join(" ", GENERAL),
                names(),
                branches);
    }

    private static String branch(Command command) {
        String words = Stream.concat(options(command).map(option -> "--" + option.getLongOpt()),
                command.choices().stream()).collect(Collectors.joining(" "));
        return String.format(Locale.ROOT, "        %s) printf '%%s\\n' %s%s ;;%n", command.name(), words,
                command.parameter().contains(DEVICE) ? "; _kvm_vfio_devices \"$3\"" : "");
    }

    private static String fish() {
        StringBuilder script = new StringBuilder(String.format(Locale.ROOT, FISH, mockDevices(), names()));
        for (Command command : KvmVfioCommand.commands()) {
            String sentence = command.description().split("\\.( |$)")[0];
            script.append("complete -c kvm-vfio -n __fish_use_subcommand -a ").append(command.name()).append(" -d ")
                    .append(quoted(sentence)).append('\n');
            String after = "complete -c kvm-vfio -n '__fish_seen_subcommand_from " + command.name() + "'";
            options(command).forEach(option -> script.append(after).append(" -l ").append(option.getLongOpt())
                    .append(option.hasArg() ? " -x -a " + quoted("(" + VALUES.get(option.getLongOpt()) + ")") : "")
                    .append(" -d ").append(quoted(option.getDescription())).append('\n'));
            if (command.parameter().contains(DEVICE)) {
                script.append(after).append(" -a '(__kvm_vfio_devices)'\n");
            } else if (!command.choices().isEmpty()) {
                script.append(after).append(" -a '").append(String.join(" ", command.choices())).append("'\n");
            }
        }
        return script.toString();
    }

    private static String quoted(String text) {
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }
}

package dev.kvmvfio.api;

import dev.kvmvfio.kernel.Kernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.module.ModuleReader;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A type that core offers to a program, and its source. */
record PublicType(Class<?> type) {
    static final Path CORE = Path.of(System.getProperty("basedir", ""));
    static final Path SOURCES = CORE.resolve("src/main/java");

    private static final Pattern JAVADOC = Pattern.compile("/\\*\\*(?:(?!\\*/).)*\\*/", Pattern.DOTALL);

    /** All of them, but those that are inside another one. */
    static List<PublicType> all() {
        Module core = Kernel.class.getModule();
        List<String> packages = core.getDescriptor().exports().stream().map(export -> export.source()).toList();
        try (ModuleReader reader = core.getLayer().configuration().findModule(core.getName()).orElseThrow().reference()
                .open(); Stream<String> files = reader.list()) {
            return files.filter(file -> file.matches("[^$-]+\\.class"))
                    .map(file -> file.substring(0, file.length() - ".class".length()).replace('/', '.'))
                    .filter(name -> packages.contains(name.substring(0, Math.max(0, name.lastIndexOf('.')))))
                    .map(name -> Class.forName(core, name)).filter(type -> Modifier.isPublic(type.getModifiers()))
                    .map(PublicType::new).toList();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    String name() {
        return type.getSimpleName();
    }

    /** What a program can call on it, its supertypes' methods too, but not those that every object has. */
    List<Method> methods() {
        return Arrays.stream(type.getMethods()).filter(method -> !method.isSynthetic() && !isOf(Object.class, method))
                .toList();
    }

    /** The same, without what every kernel has: that is one type on purpose. */
    List<Method> ownMethods() {
        return methods().stream().filter(method -> !isOf(Kernel.class, method)).toList();
    }

    private static boolean isOf(Class<?> owner, Method method) {
        try {
            owner.getMethod(method.getName(), method.getParameterTypes());
            return true;
        } catch (NoSuchMethodException its) {
            return false;
        }
    }

    /** Whether it has such a method, or such a type inside it. */
    boolean has(String member) {
        return methods().stream().anyMatch(method -> method.getName().equals(member))
                || Arrays.stream(type.getClasses()).anyMatch(inner -> inner.getSimpleName().equals(member));
    }

    Path source() {
        return SOURCES.resolve(type.getName().replace('.', '/') + ".java");
    }

    /** The comments of the methods of a name, wherever they are inherited from, and the type's own. */
    String javadoc(String method) {
        String own = comments(".*\\b(?:class|interface|record|enum) " + name() + "\\b.*");
        return own + Stream.<Class<?>>iterate(type, each -> each != null, Class::getSuperclass)
                .filter(each -> each.getModule() == type.getModule())
                .map(each -> new PublicType(each).comments("[^={]*\\b" + method + "\\(.*"))
                .collect(Collectors.joining());
    }

    /** The comments before declarations that look so. */
    private String comments(String declaration) {
        String text = read(source());
        Matcher comment = JAVADOC.matcher(text);
        return comment.results().filter(found -> text.substring(found.end()).lines().map(String::strip)
                .filter(line -> !line.isEmpty() && !line.startsWith("@")).findFirst().orElse("").matches(declaration))
                .map(found -> found.group()).collect(Collectors.joining("\n"));
    }

    static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    @Override
    public String toString() {
        return name();
    }
}

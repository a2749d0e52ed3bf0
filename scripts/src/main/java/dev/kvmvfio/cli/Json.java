package dev.kvmvfio.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import dev.kvmvfio.kernel.KvmVfioException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The form of all documents: what is not there is null, numbers that are written in hexadecimal are text. */
final class Json {
    private static final Gson GSON = new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().serializeNulls()
            .create();

    private Json() {
    }

    private record Failed(Problem error) {
    }

    private record Problem(String message, String remedy, List<String> then) {
    }

    static String of(Object document) {
        return GSON.toJson(document);
    }

    /** What went wrong in place of what was asked for. */
    static String of(Exception failure) {
        return of(new Failed(new Problem(failure.getMessage(),
                failure instanceof KvmVfioException refused ? orNull(refused.remedy()) : null,
                Arrays.stream(failure.getSuppressed()).map(Throwable::getMessage).toList())));
    }

    static String hex(int digits, int number) {
        return String.format(Locale.ROOT, "0x%0" + digits + "x", number);
    }

    static String orNull(String text) {
        return text.isEmpty() ? null : text;
    }
}

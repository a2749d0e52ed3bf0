package dev.kvmvfio.it.conformance;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;

/**
 * What a real kernel answered to random sequences, which their seed makes again: a header, and one line of results for
 * each sequence.
 *
 * @param kernel the exact version
 * @param seed from which the sequences were made
 * @param results of each sequence in turn
 */
record Recording(String kernel, long seed, List<List<String>> results) {
    private static final String FOLDER = "/conformance/recorded/";
    private static final String SEPARATOR = "\t";

    static String header(long seed) {
        return "Linux " + System.getProperty("os.version") + ", seed " + seed;
    }

    static String line(List<String> results) {
        return String.join(SEPARATOR, results);
    }

    static Recording read(Target target) {
        try (InputStream packed = Recording.class.getResourceAsStream(FOLDER + target.label() + ".random.gz");
                BufferedReader lines = new BufferedReader(
                        new InputStreamReader(new GZIPInputStream(packed), StandardCharsets.UTF_8))) {
            String header = lines.readLine();
            long seed = Long.parseLong(header.substring(header.lastIndexOf(' ') + 1));
            return new Recording(header, seed,
                    lines.lines().map(line -> Arrays.asList(line.split(SEPARATOR, -1))).toList());
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** The transcript of the scripted sequences. */
    static String scripted(Target target) {
        return text(FOLDER + target.label() + ".txt");
    }

    /** The scripted sequences that a kernel can run. */
    static List<Sequence> scripts(Target target) {
        return target.scripts().stream().flatMap(name -> Sequence
                .parseAll(text("/conformance/scripts/" + name + ".txt").lines().toList()).stream()).toList();
    }

    private static String text(String resource) {
        try (InputStream file = Recording.class.getResourceAsStream(resource)) {
            return new String(file.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}

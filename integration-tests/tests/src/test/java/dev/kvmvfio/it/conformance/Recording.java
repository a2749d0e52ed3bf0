package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Generator.Title;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * What a real kernel answered to a random sequence, which its title makes again; as text a line.
 *
 * @param title from which the sequence was made
 * @param kernel the exact version
 * @param digest of the sequence that it was then
 * @param results of each step in turn
 */
record Recording(Title title, String kernel, String digest, List<String> results) {
    private static final String FOLDER = "/conformance/recorded/";
    private static final String SEPARATOR = "\t";
    private static final int HEAD = 3;

    static Recording now(Title title, Sequence sequence, List<String> results) {
        return new Recording(title, System.getProperty("os.version"), sequence.digest(), results);
    }

    private static Recording parse(String line) {
        List<String> parts = Arrays.asList(line.split(SEPARATOR, -1));
        return new Recording(Title.parse(parts.getFirst()), parts.get(1), parts.get(2),
                parts.subList(HEAD, parts.size()));
    }

    /** Whether it was this sequence that was recorded. */
    boolean isOf(Sequence sequence) {
        return digest.equals(sequence.digest());
    }

    @Override
    public String toString() {
        return title + SEPARATOR + kernel + SEPARATOR + digest + SEPARATOR + String.join(SEPARATOR, results);
    }

    /** All that was recorded of a family on a kernel. */
    static List<Recording> read(Target target, Family family) {
        String name = FOLDER + target.label() + "." + family.label() + ".gz";
        try (InputStream packed = Recording.class.getResourceAsStream(name);
                BufferedReader lines = new BufferedReader(
                        new InputStreamReader(new GZIPInputStream(packed), StandardCharsets.UTF_8))) {
            return lines.lines().map(Recording::parse).toList();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** The transcript of the scripted sequences. */
    static String scripted(Target target) {
        return text(FOLDER + target.label() + ".txt");
    }

    /** The scripted sequences that a kernel can run. */
    static Stream<Sequence> scripts(Target target) {
        return target.scripts().stream().flatMap(
                name -> Sequence.parseAll(text("/conformance/scripts/" + name + ".txt").lines().toList()).stream());
    }

    private static String text(String resource) {
        try (InputStream file = Recording.class.getResourceAsStream(resource)) {
            return new String(file.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}

package dev.kvmvfio.cli;

import dev.kvmvfio.pci.PciAddress;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a PCI address, and tells what is wrong with one. */
final class AddressConverter implements ITypeConverter<PciAddress> {
    @Override
    public PciAddress convert(String text) {
        try {
            return PciAddress.parse(text);
        } catch (IllegalArgumentException malformed) {
            throw new TypeConversionException(malformed.getMessage());
        }
    }
}

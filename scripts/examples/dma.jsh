// Lets QEMU's teaching device (edu) copy bytes from the guest's memory and back by DMA.
// Its registers: source 0x80, destination 0x88, count 0x90, command 0x98; its own buffer is at 0x40000.
var edu = Candidate.list(kernel()).stream().filter(each -> each.vendorId() == 0x1234 && each.isAttachable()).findFirst().orElseThrow()
var ram = memory(1 << 20)
var attached = attach(edu.address().toString(), ram)
var bar = attached.device().region(Region.BAR0)
var config = attached.device().region(Region.CONFIG)
config.writeShort(4, (short) (config.readShort(4) | 4))     // bus master: the device may do DMA
void copy(long from, long to, int command) throws Exception {
    bar.writeLong(0x80, from);
    bar.writeLong(0x88, to);
    bar.writeLong(0x90, 5);
    bar.writeLong(0x98, command | 1);
    while ((bar.readLong(0x98) & 1) != 0) {
        Thread.sleep(1);
    }
}
ram.segment().setString(0, "Hello")
copy(0, 0x40000, 0)                                         // from memory into the device
copy(0x40000, 4096, 2)                                      // and to another page of memory
System.out.println(new String(ram.segment().asSlice(4096, 5).toArray(ValueLayout.JAVA_BYTE)) + " by DMA of " + edu.address())
attached.close()

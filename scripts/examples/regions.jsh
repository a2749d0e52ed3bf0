// Lists the regions and interrupts of every device that can be attached.
for (Candidate candidate : Candidate.list(kernel())) {
    if (candidate.isAttachable()) {
        try (AttachedDevice attached = attach(candidate.address().toString())) {
            System.out.println(candidate);
            attached.device().regions().stream().filter(region -> region.size() > 0).forEach(System.out::println);
            attached.device().interrupts().forEach(System.out::println);
        }
    }
}

import SluiceSimulator
import Testing

/// Not sampled: the controller dies at each boundary of a story of each strategy.
@Suite struct CrashEnumerationTests {
  @Test(arguments: CrashEnumeration.stories)
  func `a controller that dies at any attempt or commit ends as if it had never died`(_ story: CrashEnumeration.Story) {
    let outcome = CrashEnumeration.run(story)
    #expect(outcome.boundaries > 50)
    #expect(outcome.failures.isEmpty, "\(story.name): \(outcome.failures.prefix(5))")
  }
}

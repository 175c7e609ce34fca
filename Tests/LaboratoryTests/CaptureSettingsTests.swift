import Laboratory
import Testing

struct CaptureSettingsTests {
    @Test func `seed 0 takes the first samples`() {
        #expect(CaptureSettings(sampleCount: 3, seed: 0).samples(of: "a", in: 10) == [0, 1, 2])
    }

    @Test func `a task with fewer samples gives all of them`() {
        #expect(CaptureSettings(sampleCount: 256, seed: 0).samples(of: "a", in: 4) == [0, 1, 2, 3])
        #expect(CaptureSettings(sampleCount: 256, seed: 9).samples(of: "a", in: 4) == [0, 1, 2, 3])
        #expect(CaptureSettings(sampleCount: 256).samples(of: "a", in: 0).isEmpty)
        #expect(CaptureSettings(sampleCount: -1).samples(of: "a", in: 4).isEmpty)
    }

    @Test func `another seed draws a subset of its own for each task, the same every time`() {
        let settings = CaptureSettings(sampleCount: 50, seed: 1)
        let samples = settings.samples(of: "a", in: 1000)
        #expect(samples == settings.samples(of: "a", in: 1000))
        #expect(samples == samples.sorted())
        #expect(Set(samples).count == 50)
        #expect(samples.allSatisfy { 0..<1000 ~= $0 })
        #expect(samples != settings.samples(of: "b", in: 1000))
        #expect(samples != CaptureSettings(sampleCount: 50, seed: 2).samples(of: "a", in: 1000))
    }
}

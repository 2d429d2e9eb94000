// placeholder
namespace flatimg {}
